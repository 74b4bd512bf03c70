package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ListOptions says what [List] passes over. The zero value is what [Walk] uses.
type ListOptions struct {
	Hidden bool // also files and folders whose name begins with a dot
	All    bool // also files whose extension tells that no text is to be had from them
	// Pictures also lists the pictures that a [Recognizer] can be shown.
	Pictures bool
	// Ignored also lists what .gitignore and .docentignore tell to pass over.
	Ignored bool
	// Include and Exclude are patterns of paths below the folder; see [Patterns].
	Include, Exclude []string
}

// A Listing is what a folder holds.
type Listing struct {
	// Root is the absolute path that was listed.
	Root string
	// Items are the files to ingest, by path. A file or folder that cannot be read is an Item with Err.
	Items []Item
	// Skipped are the entries passed over, by path.
	Skipped []Skipped
	// Folders are those that were looked into, the listed one first, as they are on the disk.
	Folders []string
}

// Skipped is an entry of a folder that was passed over, and why.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Walk lists the files to ingest at a path: the file itself, or those of a folder and the folders in
// it, sorted, each recorded by its absolute path. See [List] for what it passes over.
func Walk(name string) ([]Item, error) {
	l, err := List(name, ListOptions{})
	return l.Items, err
}

// List is [Walk] with options, and with an account of what was passed over: hidden files and folders;
// those of version control and installed packages (.git, node_modules, __pycache__ and the like); in a
// working tree of Git what it ignores, and anywhere what a file .docentignore of the same syntax names;
// programs, pictures, sound, film and disk images; symbolic links that lead out of the folder, to a
// folder, or nowhere; whatever is no regular file. A file named itself is listed whatever it is. List
// fails only when the path itself does not exist or cannot be opened.
func List(name string, opts ListOptions) (Listing, error) {
	root, err := filepath.Abs(name)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Root: root}
	st, err := os.Stat(root)
	if err != nil {
		return l, fmt.Errorf("%s: %w", name, withoutPath(err))
	}
	if !st.IsDir() {
		if !st.Mode().IsRegular() {
			return l, fmt.Errorf("%s: %w: it is not a regular file", name, ErrUnsupported)
		}
		l.Items = []Item{{Path: root, File: root, Bytes: st.Size()}}
		return l, nil
	}
	chosen, err := NewPatterns(opts.Include, opts.Exclude)
	if err != nil {
		return l, err
	}
	if _, err := os.ReadDir(root); err != nil {
		return l, fmt.Errorf("%s: %w", name, withoutPath(err))
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return l, fmt.Errorf("%s: %w", name, withoutPath(err))
	}
	l.Folders = []string{real}
	scopes := map[string]*ignoreScope{real: newIgnoreScope(real)} // of the folders entered
	skip := func(path, reason string) { l.Skipped = append(l.Skipped, Skipped{path, reason}) }
	err = filepath.WalkDir(real, func(at string, d fs.DirEntry, err error) error {
		shown := root + at[len(real):] // below the root as it was named, also where that is a link
		if err != nil {
			l.Items = append(l.Items, Item{Path: shown, File: at, Err: &FileError{Name: shown, Err: withoutPath(err)}})
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if at == real {
			return nil
		}
		base := d.Name()
		ignored := ""
		if !opts.Ignored {
			ignored = scopes[filepath.Dir(at)].ignores(at, d.IsDir())
		}
		switch {
		case furnitureFolders[base] && d.IsDir():
			skip(shown, "a folder of version control, packages or caches")
			return fs.SkipDir
		case !opts.Hidden && hidden(base):
			skip(shown, "hidden")
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case ignored != "":
			skip(shown, ignored)
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			scopes[at] = scopes[filepath.Dir(at)].enter(at)
			l.Folders = append(l.Folders, at)
			return nil
		case !chosen.Match(filepath.ToSlash(at[len(real):])):
			skip(shown, "not among the files that are wanted")
			return nil
		case !utf8.ValidString(shown):
			skip(strings.ToValidUTF8(shown, "\ufffd"), "its name is not UTF-8")
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := filepath.EvalSymlinks(at)
			if err != nil {
				skip(shown, "a symbolic link that leads nowhere")
				return nil
			}
			if !within(real, target) {
				skip(shown, "a symbolic link out of the folder")
				return nil
			}
		}
		info, err := os.Stat(at)
		switch {
		case err != nil:
			l.Items = append(l.Items, Item{Path: shown, File: at, Err: &FileError{Name: shown, Err: withoutPath(err)}})
		case info.IsDir():
			skip(shown, "a symbolic link to a folder")
		case !info.Mode().IsRegular():
			skip(shown, "not a regular file")
		case !opts.All && textless(base) != "" && !(opts.Pictures && isPicture(base)):
			skip(shown, textless(base))
		default:
			l.Items = append(l.Items, Item{Path: shown, File: at, Bytes: info.Size()})
		}
		return nil
	})
	slices.SortFunc(l.Items, func(a, b Item) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(l.Skipped, func(a, b Skipped) int { return strings.Compare(a.Path, b.Path) })
	return l, err
}

// hidden also knows the lock files that office programs leave beside an open document.
func hidden(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "~$") ||
		strings.EqualFold(base, "thumbs.db") || strings.EqualFold(base, "desktop.ini")
}

var furnitureFolders = map[string]bool{
	".git": true, ".hg": true, ".svn": true, ".bzr": true, "CVS": true, "_darcs": true, ".jj": true, "node_modules": true, "bower_components": true,
	"__pycache__": true, ".venv": true, ".tox": true, ".mypy_cache": true, "__MACOSX": true, "$RECYCLE.BIN": true, "System Volume Information": true,
}

// textless says why a file of that name holds no text that docent reads; "" when it may.
func textless(base string) string { return textlessKinds[strings.ToLower(filepath.Ext(base))] }

func isPicture(base string) bool {
	switch strings.ToLower(filepath.Ext(base)) {
	case ".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp":
		return true
	}
	return false
}

var textlessKinds = func() map[string]string {
	m := make(map[string]string)
	for reason, exts := range map[string]string{
		"a program or library": "exe dll so dylib a o obj lib class jar war pyc pyo pyd wasm bin com msi deb rpm apk app ko sys node whl",
		"a picture":            "png jpg jpeg jfif gif bmp tif tiff webp avif heic heif ico icns svg psd ai raw cr2 nef dng xcf",
		"sound or film":        "mp3 wav flac ogg oga opus m4a aac wma mid mp4 m4v mov avi mkv webm wmv flv mpg mpeg 3gp ogv",
		"an archive":           "xz txz zst lz4 lzma 7z rar cab ar cpio",
		"a disk image":         "iso img dmg vmdk vdi qcow2 vhd vhdx",
		"a font":               "ttf otf woff woff2 eot pfb",
		"a database or model":  "db sqlite sqlite3 mdb accdb parquet arrow feather npy npz pkl pt pth onnx gguf safetensors h5 hdf5",
		"a temporary file":     "tmp temp swp swo lock part crdownload",
	} {
		for _, e := range strings.Fields(exts) {
			m["."+e] = reason
		}
	}
	return m
}()

// within reports whether name is root or lies below it. Both are clean and absolute.
func within(root, name string) bool {
	rel, err := filepath.Rel(root, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) && !filepath.IsAbs(rel)
}

// ErrName is returned by CleanName for a name of which nothing is left.
var ErrName = errors.New("not a usable file name")

// maxName is the longest document name that CleanName gives, in bytes.
const maxName = 1024

// CleanName makes the name that an uploaded file came with fit to be a document's Path: relative, with
// forward slashes, without "." and "..", drive letters, leading slashes, control characters and
// invisible direction marks, and at most 1,024 bytes long, its extension kept. "../../etc/passwd"
// becomes "etc/passwd". It returns ErrName when nothing is left.
func CleanName(name string) (string, error) {
	s := strings.ToValidUTF8(name, "\ufffd")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x200b, r == 0xfeff, r == 0x2028, r == 0x2029:
			return -1
		case r == '\\':
			return '/'
		}
		return r
	}, s)
	for before := ""; s != before; { // what is taken away may uncover more of the kind
		before = s
		if len(s) > 1 && s[1] == ':' && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') {
			s = s[2:]
		}
		var parts []string
		for part := range strings.SplitSeq(s, "/") {
			part = strings.TrimSpace(part)
			if part == "" || part == "." || part == ".." {
				continue
			}
			parts = append(parts, part)
		}
		s = strings.Join(parts, "/")
	}
	if s == "" {
		return "", fmt.Errorf("%w: %q", ErrName, name)
	}
	if len(s) > maxName {
		ext := path.Ext(s)
		if len(ext) > 16 {
			ext = ""
		}
		cut := maxName - len(ext)
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = strings.TrimRight(s[:cut], "/ ") + ext
	}
	return s, nil
}
