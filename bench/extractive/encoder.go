package main

import "docent/internal/llm"

func builtin() llm.Encoder { return nil }
