//! The pages of support staff.
