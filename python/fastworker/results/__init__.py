"""Results: documents in a store, and the objects by which clients ask for them."""
