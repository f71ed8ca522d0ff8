//! What is generated from the command line, in the hands of the programs that read it.
