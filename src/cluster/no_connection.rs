//! Why there is no connection to the API server, told from the causes of a failed request: the network, a certificate,
//! TLS, or a proxy. Pure.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Why a request could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoConnection {
    /// The network, or nobody who listens there.
    Network,
    /// The API server's certificate was not made by the CA that the server has.
    UnknownCa,
    /// The API server's certificate is for other names.
    OtherName,
    /// The API server's certificate is expired, or not valid yet.
    OutOfDate,
    /// The API server takes no connection without a client certificate, or not with this one.
    ClientCertificate,
    /// What listens there does not speak TLS.
    NoTls,
    /// The proxy of the kubeconfig makes no connection.
    Proxy,
}

/// How the texts of the proxy's failures begin: their type is not public.
const TUNNEL: &str = "tunnel error: ";

impl NoConnection {
    /// The kind of this failure.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut kind = Self::Network;
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = tls_of(error) {
                return Self::of_tls(tls);
            }
            if error.to_string().starts_with(TUNNEL) {
                // A proxy that is reached by TLS may have the bad certificate.
                kind = Self::Proxy;
            }
            next = error.source();
        }
        kind
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::OtherName,
            TlsError::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::OutOfDate,
            TlsError::InvalidCertificate(_) => Self::UnknownCa,
            TlsError::AlertReceived(
                AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::CertificateRequired,
            ) => Self::ClientCertificate,
            TlsError::InvalidMessage(_) => Self::NoTls,
            _ => Self::Network,
        }
    }

    /// What is wrong, in words that fit a list.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Network => "API server not reachable",
            Self::UnknownCa | Self::OtherName | Self::OutOfDate => "Certificate not trusted",
            Self::ClientCertificate => "Client certificate refused",
            Self::NoTls => "API server speaks no TLS",
            Self::Proxy => "Proxy makes no connection",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Network => "Check its address in the kubeconfig, and the network",
            Self::UnknownCa => {
                "The API server's certificate is not of the CA in the kubeconfig (`certificate-authority-data`) or of \
                 the service account (`ca.crt`): take the cluster's CA, or that of the proxy that opens its TLS"
            }
            Self::OtherName => {
                "The API server's certificate does not have the name in the kubeconfig's `server`: correct it, or set \
                 `tls-server-name` to a name of the certificate"
            }
            Self::OutOfDate => {
                "Renew the API server's certificate, or set the clock of the machine that the Paperclip server is on"
            }
            Self::ClientCertificate => {
                "Renew the client certificate in the kubeconfig (`client-certificate-data`): it must be of a CA that \
                 the API server knows"
            }
            Self::NoTls => {
                "Check port and scheme of the kubeconfig's `server`: https:// there is for a port with TLS"
            }
            Self::Proxy => {
                "Check the kubeconfig's `proxy-url`, with its user and password, and whether that proxy may connect to \
                 the API server's address and port"
            }
        }
    }
}

/// The failure of TLS that this error is. One within an I/O error is no source of it.
fn tls_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(tls: TlsError) -> NoConnection {
        // As a connector gives it, and the client around it.
        let io = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        NoConnection::of(&kube::Error::Service(Box::new(io)))
    }

    #[test]
    fn a_certificate_that_cannot_be_verified_is_no_matter_of_the_network() {
        let of = |error| failed(TlsError::InvalidCertificate(error));
        assert_eq!(of(CertificateError::UnknownIssuer), NoConnection::UnknownCa);
        assert_eq!(of(CertificateError::BadSignature), NoConnection::UnknownCa);
        assert_eq!(of(CertificateError::NotValidForName), NoConnection::OtherName);
        assert_eq!(of(CertificateError::Expired), NoConnection::OutOfDate);
        assert_eq!(of(CertificateError::NotValidYet), NoConnection::OutOfDate);
        for (kind, named) in [
            (NoConnection::UnknownCa, "`certificate-authority-data`"),
            (NoConnection::OtherName, "`tls-server-name`"),
            (NoConnection::OutOfDate, "the clock"),
        ] {
            assert_eq!(kind.class(), "Certificate not trusted");
            assert!(kind.advice().contains(named) && !kind.advice().contains("network"));
        }
    }

    #[test]
    fn what_the_other_side_of_tls_says_is_told_apart() {
        assert_eq!(
            failed(TlsError::AlertReceived(AlertDescription::CertificateRequired)),
            NoConnection::ClientCertificate
        );
        assert_eq!(
            failed(TlsError::InvalidMessage(
                rustls::InvalidMessage::InvalidContentType
            )),
            NoConnection::NoTls
        );
        assert_eq!(failed(TlsError::HandshakeNotComplete), NoConnection::Network);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(NoConnection::of(&refused), NoConnection::Network);
    }

    #[test]
    fn every_class_fits_a_list() {
        for kind in [
            NoConnection::Network,
            NoConnection::UnknownCa,
            NoConnection::ClientCertificate,
            NoConnection::NoTls,
            NoConnection::Proxy,
        ] {
            assert!(kind.class().len() <= 30, "{}", kind.class());
        }
    }
}
