package ingest

import (
	"bytes"
	"fmt"
	"io"

	"github.com/xuri/excelize/v2"
)

// parseEncryptedOffice reads a Word, PowerPoint or Excel file that asks for a password (ECMA-376 encryption,
// [MS-OFFCRYPTO] 2.3.4), if the one given opens it.
func parseEncryptedOffice(p *parser, in *input, f form) (*Document, error) {
	within, err := in.decrypted()
	if err != nil {
		return nil, err
	}
	return p.parseInput(within)
}

// decrypted is the file within an encrypted one.
func (in *input) decrypted() (*input, error) {
	if in.password == "" {
		return nil, parseError(ErrPassword, "the Office document is encrypted; give its password to read it")
	}
	raw, err := io.ReadAll(io.NewSectionReader(in.file, 0, in.size))
	if err != nil {
		return nil, err
	}
	data, err := decryptOffice(raw, in.password)
	switch {
	case err != nil:
		return nil, parseError(ErrDamaged, "it is encrypted, and cannot be decrypted: %v", err)
	case data == nil:
		return nil, parseError(ErrUnsupported, "it is encrypted in a way that is not known here; save it without a password")
	case !bytes.HasPrefix(data, []byte("PK\x03\x04")): // the library does not check the password
		return nil, parseError(ErrPassword, "the Office document is encrypted and the password given does not open it")
	}
	within := *in
	within.file, within.size, within.password = bytes.NewReader(data), int64(len(data)), ""
	return &within, nil
}

// decryptOffice guards the library, which does not check all that a broken file says of itself.
func decryptOffice(raw []byte, password string) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			data, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return excelize.Decrypt(raw, &excelize.Options{Password: password})
}
