//! A new migration must rebuild the crate, which holds them all.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
