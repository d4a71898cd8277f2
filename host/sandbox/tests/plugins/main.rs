//! Real components in the sandbox: a decent guest, one that misbehaves in every way it can, and those that make figures.

#[cfg(test)]
mod figures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod load;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod said;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
