package sqlitefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	logHeader   = 32
	frameHeader = 24
)

// A Log is what a write-ahead log holds (section 4 of the file format).
type Log struct {
	Frames    int // whole and in order; a frame is a page as a transaction left it
	Committed int // of them, those up to the last end of a transaction
	// Lost says why transactions that had ended cannot be read; "" when none are missing. SQLite itself
	// leaves them out without a word: to it, damage looks like the end of the log.
	Lost string

	pageSize int
	salt     [8]byte
}

// CheckLog reads the write-ahead log of the database file at path, which nobody may have open. No log, and
// an empty one, are in order.
func CheckLog(path string) (Log, error) {
	data, err := os.ReadFile(path + "-wal")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return Log{}, err
	}
	w := readLog(data)
	if w.Lost != "" {
		return w, nil
	}
	// The index of the log, in shared memory that has a file, counts the frames that are committed. A commit
	// is synced to the log before it is counted, so the log never has fewer unless it was cut.
	shm, err := os.ReadFile(path + "-shm")
	if err == nil && len(shm) >= 48 && w.pageSize > 0 {
		sum := checksum([2]uint32{}, shm[:40], binary.NativeEndian)
		good := sum[0] == binary.NativeEndian.Uint32(shm[40:]) && sum[1] == binary.NativeEndian.Uint32(shm[44:])
		if n := int(binary.NativeEndian.Uint32(shm[16:])); good && string(shm[32:40]) == string(w.salt[:]) && n > w.Committed {
			w.Lost = fmt.Sprintf("it is cut short: %d of %d pages are there", w.Committed, n)
		}
	}
	return w, nil
}

// readLog reads frames up to the first that does not match its checksum.
func readLog(data []byte) (w Log) {
	if len(data) < logHeader {
		return w
	}
	var order binary.ByteOrder = binary.LittleEndian
	number := binary.BigEndian.Uint32(data)
	if number&1 == 1 {
		order = binary.BigEndian
	}
	size := int(binary.BigEndian.Uint32(data[8:]))
	sum := checksum([2]uint32{}, data[:24], order)
	if number&^1 != 0x377f0682 || size < 512 || size > 1<<16 || size&(size-1) != 0 ||
		sum[0] != binary.BigEndian.Uint32(data[24:]) || sum[1] != binary.BigEndian.Uint32(data[28:]) {
		if len(data) > logHeader { // one that was never begun has nothing else
			w.Lost = "its header is damaged"
		}
		return w
	}
	w.pageSize = size
	copy(w.salt[:], data[16:24])
	stride := frameHeader + size
	whole := (len(data) - logHeader) / stride
	frame := func(i int) []byte { return data[logHeader+i*stride : logHeader+(i+1)*stride] }
	ours := func(i int) bool { return string(frame(i)[8:16]) == string(w.salt[:]) }
	ends := func(i int) bool { return binary.BigEndian.Uint32(frame(i)[4:]) != 0 }
	for ; w.Frames < whole; w.Frames++ {
		f := frame(w.Frames)
		next := checksum(checksum(sum, f[:8], order), f[frameHeader:], order)
		if !ours(w.Frames) || next[0] != binary.BigEndian.Uint32(f[16:]) || next[1] != binary.BigEndian.Uint32(f[20:]) {
			break
		}
		if sum = next; ends(w.Frames) {
			w.Committed = w.Frames + 1
		}
	}
	// A transaction begins when the one before it is on the disk. One that follows the end of another, after
	// the place where the checksums end, shows that what was before it had been there.
	for i, ended := w.Frames, false; i < whole; i++ {
		if !ours(i) {
			continue
		}
		if ended {
			w.Lost = fmt.Sprintf("page %d of it is damaged, and transactions follow it", w.Frames+1)
			break
		}
		ended = ends(i)
	}
	return w
}

// checksum continues a checksum over 8-byte steps (section 4.2).
func checksum(s [2]uint32, p []byte, order binary.ByteOrder) [2]uint32 {
	for ; len(p) >= 8; p = p[8:] {
		s[0] += order.Uint32(p) + s[1]
		s[1] += order.Uint32(p[4:]) + s[0]
	}
	return s
}
