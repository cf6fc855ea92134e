//! The cryptography that encrypted connections use.

/// The process may have chosen a provider already; ours is only needed when it has not.
pub(crate) fn install_provider() {
    let _chosen = rustls::crypto::ring::default_provider().install_default();
}
