package ingest

import (
	"errors"
	"fmt"
)

var (
	// ErrUnsupported is returned for a file whose content is of no format that can be read.
	ErrUnsupported = errors.New("format not supported")
	// ErrEmptyFile is returned for a file without bytes, or with nothing but white space.
	ErrEmptyFile = errors.New("the file is empty")
	// ErrNoText is returned for a document without any text, such as a scan that was not recognised.
	ErrNoText = errors.New("no text found")
	// ErrPassword is returned for a file that needs a password, or another one than was given.
	ErrPassword = errors.New("a password is needed")
	// ErrTooLarge is returned for a file or its content that is over a limit of ExtractorConfig.
	ErrTooLarge = errors.New("too large")
	// ErrDamaged is returned for a file that breaks the rules of its format beyond repair.
	ErrDamaged = errors.New("the file is damaged")
	// ErrTimeout is returned for a file that was not read within ExtractorConfig.Timeout.
	ErrTimeout = errors.New("took too long")
	// ErrCrashed is returned when a parser panicked or its process ended while it read the file.
	ErrCrashed = errors.New("the parser ended while reading")
	// ErrNearDuplicate is returned for a document that says nearly the same as another of a collection
	// whose settings refuse such.
	ErrNearDuplicate = errors.New("nearly the same as another document")
)

// fileErrorKinds names the sentinels on their way from a worker process to its parent.
var fileErrorKinds = map[string]error{
	"unsupported": ErrUnsupported, "empty": ErrEmptyFile, "no_text": ErrNoText, "password": ErrPassword,
	"too_large": ErrTooLarge, "damaged": ErrDamaged, "timeout": ErrTimeout, "crashed": ErrCrashed,
}

// A FileError says why a file yielded no document. errors.Is finds the sentinel in Err.
type FileError struct {
	Name   string // as given in File
	Err    error  // one of the sentinels of this package, or what the system said
	Detail string // what was found and what to do about it, with the flag of docent that it takes; may be empty
}

func (e *FileError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("read %q: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("read %q: %v: %s", e.Name, e.Err, e.Detail)
}

func (e *FileError) Unwrap() error { return e.Err }

// tooLarge is the FileError of a file that is larger than it may be.
func tooLarge(name string, size, limit int64) error {
	return &FileError{Name: name, Err: ErrTooLarge, Detail: fmt.Sprintf("it has %s, the limit is %s; split it, or raise --max-file", byteSize(size), byteSize(limit))}
}

// parseError is a FileError whose file the caller knows.
func parseError(err error, format string, args ...any) error {
	return &FileError{Err: err, Detail: fmt.Sprintf(format, args...)}
}

// nameError puts the file's name into err, and turns what no parser classified into ErrDamaged.
func nameError(name string, err error) error {
	if fe, ok := errors.AsType[*FileError](err); ok {
		return &FileError{Name: name, Err: fe.Err, Detail: fe.Detail}
	}
	return &FileError{Name: name, Err: err}
}
