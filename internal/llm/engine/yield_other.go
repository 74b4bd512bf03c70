//go:build !linux

package engine

func yieldProcessor() {}
