package weaviate

import (
	"context"
	"errors"
	"net/http"
)

// A Class describes what is kept of chunks: their ids and documents, by which they are filtered, their
// terms, by which they are ranked, and a vector each.
type Class struct {
	Name     string
	Replicas int     // of each shard
	Shards   int     // 0 means one for each node
	K1, B    float64 // of BM25
	Quantise bool    // keep vectors at 8 bits each dimension in memory; they are scored again exactly
}

type object = map[string]any

// CreateClass makes a class, unless there is one of that name.
func (c *Client) CreateClass(ctx context.Context, k Class) error {
	index := object{"distance": "cosine"}
	if k.Quantise {
		index["rq"] = object{"enabled": true, "bits": 8}
	}
	sharding := object{}
	if k.Shards > 0 {
		sharding["desiredCount"] = k.Shards
	}
	body := object{
		"class": k.Name, "vectorizer": "none", "vectorIndexType": "hnsw", "vectorIndexConfig": index, "shardingConfig": sharding,
		// Ids are never used again: what is deleted anywhere stays so.
		"replicationConfig":   object{"factor": k.Replicas, "asyncEnabled": true, "deletionStrategy": "DeleteOnConflict"},
		"invertedIndexConfig": object{"bm25": object{"k1": k.K1, "b": k.B}, "stopwords": object{"preset": "none"}},
		"properties": []object{
			{"name": "chunk", "dataType": []string{"int"}, "indexFilterable": true, "indexRangeFilters": true, "indexSearchable": false},
			{"name": "document", "dataType": []string{"text"}, "tokenization": "field", "indexFilterable": true, "indexSearchable": false},
			{"name": "terms", "dataType": []string{"text"}, "tokenization": "whitespace", "indexFilterable": false, "indexSearchable": true},
		},
	}
	return c.patiently(ctx, "create class "+k.Name, schemaTry, func(ctx context.Context, n *node) error {
		err := c.call(ctx, n, http.MethodPost, "/v1/schema", body, nil)
		if err == nil {
			return nil
		}
		// It may be there: another process was quicker, or an earlier try was not heard of.
		if has, _ := c.hasClass(ctx, n, k.Name); has {
			return nil
		}
		return err
	})
}

// HasClass says whether there is a class of that name.
func (c *Client) HasClass(ctx context.Context, name string) (has bool, err error) {
	err = c.patiently(ctx, "look for class "+name, firstTry, func(ctx context.Context, n *node) (err error) {
		has, err = c.hasClass(ctx, n, name)
		return err
	})
	return has, err
}

func (c *Client) hasClass(ctx context.Context, n *node, name string) (bool, error) {
	err := c.call(ctx, n, http.MethodGet, "/v1/schema/"+name, nil, nil)
	if errors.Is(err, ErrNoClass) {
		return false, nil
	}
	return err == nil, err
}

// DropClass removes a class and its objects, if there is one of that name.
func (c *Client) DropClass(ctx context.Context, name string) error {
	return c.patiently(ctx, "drop class "+name, schemaTry, func(ctx context.Context, n *node) error {
		return c.call(ctx, n, http.MethodDelete, "/v1/schema/"+name, nil, nil)
	})
}
