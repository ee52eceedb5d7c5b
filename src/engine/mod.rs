//! Behaviour: who may do what, and doing it.
