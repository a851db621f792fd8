// Package registry reads what the estate knows of its piles and cards from the
// files that property managers keep: workbooks (.xlsx), or CSV in UTF-8 with or
// without a byte order mark, or GBK as Excel saves it; Chinese or English headings in any order;
// stray spaces and full-width digits; a title above the headings; other columns (names, phones) are passed
// over and never kept.
//
// A file is taken whole or not at all. The error lists every problem with its
// row, one a line, so that it is mended in one go. Card numbers do not appear
// in errors, but for their last four characters.
package registry
