package main

// Main lets the test binary be the command.
func Main() { main() }
