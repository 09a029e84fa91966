//! The W3C trace context of the request at hand.
