//! Who is calling: staff by session, programs by API key.
