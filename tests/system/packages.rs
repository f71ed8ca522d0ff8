//! The packages as files: what is in them, and what their own tools think of them.
