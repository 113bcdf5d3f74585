"""Files as wholes, in a folder of this machine or in a store on others: listed, read, written whole or not at all."""
