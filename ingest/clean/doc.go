// Package clean takes out of documents what no answer should rest on.
package clean
