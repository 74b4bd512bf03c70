package embed

import "os"

// minilmDir is the folder of the float32 all-MiniLM-L6-v2, when the machine has one.
func minilmDir() string { return os.Getenv("DOCENT_MINILM_DIR") }
