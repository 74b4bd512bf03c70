package models

import "errors"

var (
	// ErrNotFound: there is no such model, repository, revision or file.
	ErrNotFound = errors.New("model not found")
	// ErrExists: a model of that name is installed.
	ErrExists = errors.New("model is installed already")
	// ErrName: a name that no model can have.
	ErrName = errors.New("invalid model name")
	// ErrAccess: the hub wants a token, or its owner's consent.
	ErrAccess = errors.New("access refused")
	// ErrHub: the hub cannot be reached, is busy, or answers with something else than was asked for.
	ErrHub = errors.New("model hub")
	// ErrChecksum: a file is not the one that its checksum is of.
	ErrChecksum = errors.New("wrong checksum")
	// ErrUnsafe: an archive or a list of files with something in it that no model has: a path that leaves
	// the folder, a link, a size out of all proportion.
	ErrUnsafe = errors.New("refused as unsafe")
	// ErrNoModel: a folder, archive or repository in which there is no model that can be installed.
	ErrNoModel = errors.New("no model in it")
	// ErrBusy: another process is at work on the same download.
	ErrBusy = errors.New("busy")
)
