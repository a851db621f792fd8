// Package config loads the configuration, strictly.
//
// Every key is optional and the defaults are in code ([Default]). An unknown
// key, a wrong type or a bad value is refused, and so is all of the file with
// it: the error is a list of every [Problem], one a line, each with
// file:line:column, the path of the key, and what was expected.
//
// Paths in a file are relative to the folder of that file; without a file, to
// the working directory. Neither registries nor secret files are read on
// loading: a [Secret] is read when it is used, and never prints.
package config
