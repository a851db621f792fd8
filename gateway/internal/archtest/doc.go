// Package archtest holds no code: its tests hold the shape of the repository
// that gateway/DESIGN.md draws. Imports go one way, what claims to be pure does
// no input or output, every package says what it promises, and nothing global
// changes while the program runs.
package archtest
