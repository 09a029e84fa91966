//! What every request handler shares.
