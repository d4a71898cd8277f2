//! `secrets`: used by name, never read.

use crate::contract::secrets::{Host, Mac, SecretError};
use crate::host::CallState;
use crate::secrets::Secret;

impl CallState {
    fn secret(&self, name: &str) -> Result<&Secret, SecretError> {
        match self.bound.secrets.get(name) {
            Some(secret) => Ok(secret),
            None if self.bound.plugin.manifest().secret(name).is_some() => Err(SecretError::NotSet),
            None => Err(SecretError::NotGranted),
        }
    }
}

impl Host for CallState {
    fn is_set(&mut self, name: String) -> bool {
        self.secret(&name).is_ok()
    }

    fn sign(&mut self, name: String, algorithm: Mac, data: Vec<u8>) -> Result<Vec<u8>, SecretError> {
        Ok(self.secret(&name)?.sign(algorithm, &data))
    }

    fn verify(&mut self, name: String, algorithm: Mac, data: Vec<u8>, tag: Vec<u8>) -> Result<bool, SecretError> {
        Ok(self.secret(&name)?.verify(algorithm, &data, &tag))
    }

    fn sign_ed25519(&mut self, name: String, data: Vec<u8>) -> Result<Vec<u8>, SecretError> {
        let signed = self.secret(&name)?.sign_ed25519(&data);
        signed.map_err(|why| SecretError::Unusable(format!("the secret `{name}`: {why}")))
    }
}
