//go:build (!amd64 && !arm64) || noasm

package tensor

func quantKernels() *qkernels { return &qgeneric }

func floatKernels() *qdots { return &qdotsGeneric }
