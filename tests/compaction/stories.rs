//! Single stories, one at a time.
