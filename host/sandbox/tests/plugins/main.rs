//! Real components in the sandbox: a decent guest, and one that misbehaves in every way it can.

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod load;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod said;
#[cfg(test)]
mod support;
