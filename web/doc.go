// Package web serves docent over HTTP: the page people use and the JSON and event-stream API beneath
// it, which docs/api.md describes.
//
//	srv, err := web.New(web.Config{
//		Store:    store,
//		Pipeline: pipeline,
//		Ask:      ask, // streams a chain's answer for a collection
//		UI:       ui.FS(),
//	})
//	if err != nil { … }
//	err = srv.ListenAndServe(ctx, "127.0.0.1:8420") // until ctx ends
//
// The server trusts whoever can reach it: it is meant for a loopback address, and guards that against
// web pages of other sites (DNS rebinding, cross-site requests). Files that people upload are streamed
// to the store, parsed elsewhere, and given back only as attachments. What an error reply says is meant
// for the reader; causes that are not go to the log, under the request's id.
package web
