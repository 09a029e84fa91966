//! JSON reads for programs.
