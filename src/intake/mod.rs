//! Arrival of reports, by form and by API.
