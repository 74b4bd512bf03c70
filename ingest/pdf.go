package ingest

func parsePDF(p *parser, in *input, f form) (*Document, error) {
	return nil, parseError(ErrUnsupported, "x")
}
