//! The native backend of procbox.
