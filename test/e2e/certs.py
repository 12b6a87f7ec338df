"""A certificate authority for tests, and what it signs, as files."""

import os
import pathlib
import subprocess

_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*arguments):
    done = subprocess.run(["openssl", *[os.fspath(a) for a in arguments]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """Its own certificate is `cert`; `issue` gives (certificate, key)."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.count = 0
        self.cert, self.key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        _openssl("req", "-x509", *_CURVE, "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, alternative=""):
        """`alternative` as in "DNS:localhost,IP:127.0.0.1"."""
        self.count += 1
        stem = self.directory / f"{self.cert.stem}-{self.count}"
        cert, key, request, extra = (stem.with_suffix(s) for s in (".crt", ".key", ".csr", ".ext"))
        _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extra.write_text(f"subjectAltName={alternative}\n" if alternative else "")
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
                 "-extfile", extra, "-out", cert)
        os.chmod(key, 0o600)
        return cert, key

    def revoke(self, *certificates):
        """The list of these, as a file."""
        database, settings, file = (self.directory / f"{self.cert.stem}-ca{s}" for s in (".txt", ".conf", ".crl"))
        database.write_text("")
        settings.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={database}\ndefault_md=sha256\n"
                            "default_crl_days=2\n")
        authority = ("-config", settings, "-cert", self.cert, "-keyfile", self.key)
        for certificate in certificates:
            _openssl("ca", *authority, "-revoke", certificate)
        _openssl("ca", *authority, "-gencrl", "-out", file)
        return file

    def server(self):
        return self.issue("localhost", "DNS:localhost,IP:127.0.0.1")
