//go:build !amd64 || noasm

package tensor

func attendKernel() *attendKernels { return &attendGeneric }
