print "hi";
