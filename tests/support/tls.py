"""Certificates for tests of what an address's certificate is worth."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Certifies `localhost`. `trust` accepts what it certifies, and nothing else; `pem` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        certificate = self._signed(self._name, self._key, timedelta(days=365), is_authority=True)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.trust = ssl.create_default_context(cadata=self.pem)

    def server(self, days: float, host: str = "localhost") -> ssl.SSLContext:
        """What a server of `host` uses whose certificate expires in so many days; negative: it has expired."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(days, host))
        return context

    def file(self, days: float, host: str = "localhost") -> Path:
        """A PEM file with the certificate of `host`, which expires in so many days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(name, key, timedelta(days=days), host)
        file = self._folder / f"{host}.{days}.pem"
        pem, form, open_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, form, open_))
        return file

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        life: timedelta,
        host: str = "localhost",
        *,
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())
