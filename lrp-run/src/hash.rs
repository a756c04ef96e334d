//! SHA-256 of files while they are read, so that a file need not be read once more for it.

use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A reader that fingerprints its bytes.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    /// Around a reader.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The reader.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The number of bytes read.
    pub fn passed(&self) -> u64 {
        self.bytes
    }

    /// Their fingerprint, in hexadecimal.
    pub fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

/// A writer that fingerprints its bytes.
pub struct Written<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Written<W> {
    /// Around a writer. The fingerprint continues that of `hash` with the written bytes.
    pub fn new(inner: W, hash: Sha256) -> Self {
        Self { inner, hash }
    }

    /// The writer.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The fingerprint, in hexadecimal.
    pub fn sha256(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<W: Write> Write for Written<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, in hexadecimal.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = Hashing::new(lrp_core::file::open(path)?);
    let mut buffer = vec![0; 1 << 16];
    while file.read(&mut buffer)? > 0 {}
    Ok(file.sha256())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
