//go:build windows || plan9

package catalog

import "syscall"

// errQuota is ERROR_DISK_FULL, what Windows says where others say ENOSPC.
var errQuota error = syscall.Errno(112)
