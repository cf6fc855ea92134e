"""For the tests of applications: what was published, running it here and now, moving the clock."""
