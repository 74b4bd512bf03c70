//go:build !windows && !plan9

package catalog

import "syscall"

var errQuota error = syscall.EDQUOT
