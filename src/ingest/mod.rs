//! Arrival of spans: OTLP over HTTP, and files.
