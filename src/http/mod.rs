//! HTTP plumbing without business.
