//! Control channel between the command line, the window and the node.
