//! TLS by rustls: a certificate from files, which can be replaced while the shop is open.

use std::{path::PathBuf, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::net::TransportError;

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those between it and the root, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both.
    ///
    /// # Errors
    /// If one cannot be read, holds something else, or they do not belong together.
    pub(crate) async fn load(&self) -> Result<RustlsConfig, TransportError> {
        Ok(RustlsConfig::from_config(self.read().await?))
    }

    /// Reads both again for connections to come. When that fails, the old ones stay.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub(crate) async fn reload(&self, config: &RustlsConfig) -> Result<(), TransportError> {
        config.reload_from_config(self.read().await?);
        Ok(())
    }

    async fn read(&self) -> Result<Arc<ServerConfig>, TransportError> {
        let files = self.clone();
        let read = tokio::task::spawn_blocking(move || files.server_config()).await;
        read.unwrap_or_else(|error| Err(TransportError::Tls(self.certificate.clone(), error.to_string()))).map(Arc::new)
    }

    fn server_config(&self) -> Result<ServerConfig, TransportError> {
        let wrong = |path: &PathBuf, error: &dyn std::fmt::Display| TransportError::Tls(path.clone(), error.to_string());
        let chain = CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, &"it holds no certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong(&self.key, &error))?;
        // TLS 1.2 and 1.3 with the suites that rustls takes for safe.
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(&self.certificate, &error))?;
        let config = builder.with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.map_err(|error| wrong(&self.certificate, &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
