package clean

// Settings say how the documents of a collection are cleaned. The tags tell each field's values, the
// default, and what it does; docent/ingest.Settings reads them.
type Settings struct {
	Normalization  string      `json:"normalization" values:"nfc,nfkc" default:"nfc" help:"Unicode normal form. nfkc also turns full-width letters, superscripts, ligatures and units into plain characters."`
	Boilerplate    string      `json:"boilerplate" values:"remove,keep" default:"remove" help:"Navigation and advertisements of web pages; lines that repeat like the header or footer of a page."`
	Duplicates     string      `json:"duplicates" values:"skip,index" default:"skip" help:"Files with the same bytes as another of the collection: listed without being indexed again, or indexed."`
	NearDuplicates string      `json:"near_duplicates" values:"report,refuse,off" default:"report" help:"Documents that say nearly the same as another of the collection."`
	LowQuality     string      `json:"low_quality" values:"drop,report,off" default:"drop" help:"Passages without meaning: gibberish, noise of text recognition, lists of links."`
	Private        PrivateData `json:"private"`
}

// PrivateData says what is done with each kind of private data: "leave" it and count it in the report,
// "mask" it, or "refuse" the file.
type PrivateData struct {
	Email    string `json:"email" values:"leave,mask,refuse" default:"leave" help:"E-mail addresses."`
	Phone    string `json:"phone" values:"leave,mask,refuse" default:"leave" help:"Telephone numbers, Chinese mobile numbers among them."`
	IDCard   string `json:"id_card" values:"leave,mask,refuse" default:"leave" help:"Numbers of Chinese identity cards, by their check digit."`
	BankCard string `json:"bank_card" values:"leave,mask,refuse" default:"leave" help:"Numbers of bank and credit cards, by their check digit."`
	IP       string `json:"ip" values:"leave,mask,refuse" default:"leave" help:"IPv4 and IPv6 addresses."`
	Secret   string `json:"secret" values:"leave,mask,refuse" default:"leave" help:"API keys, access tokens and private keys."`
}
