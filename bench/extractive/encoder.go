package main

import (
	"log"

	"docent/embed"
	"docent/internal/llm"
)

func builtin() llm.Encoder {
	enc, err := embed.Builtin()
	if err != nil {
		log.Fatal(err)
	}
	return enc
}
