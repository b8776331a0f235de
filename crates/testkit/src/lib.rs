//! Doubles for every port and a simulated world.
