//! Accounts over a real file, with a clock that is moved by hand.
