/** Words for RandomPet: an adverb or none, an adjective, an animal. Our own list; the words are short and plain. */

export const adverbs = words(`
  ably boldly briefly brightly calmly clearly deeply dearly duly early easily evenly fairly firmly fondly freely fully gently
  gladly gravely greatly happily highly humbly ideally jointly justly keenly kindly largely lightly likely loosely loudly
  lovely mainly mostly neatly nicely nobly openly partly plainly poorly purely quietly rarely readily really rightly safely
  sharply shortly simply slowly smartly softly solidly steadily strongly subtly surely swiftly truly vastly vividly warmly
  widely wildly wisely wholly`);

export const adjectives = words(`
  able active agile amber ample awake azure balanced bold brave breezy bright brisk bronze calm careful cheerful civil clever
  cosmic cosy crisp curious daring dear deep eager early easy elegant epic even fair famous fancy fast fine firm fleet fluffy
  fond free fresh friendly full gentle giving glad golden good grand great green happy hardy helpful honest humble ideal
  jolly just keen kind large legal light lively loyal lucky lunar magic major mellow merry mighty modest native neat new
  nimble noble normal novel open orange patient peaceful pleasant polite proper proud pure quick quiet rapid rare ready real
  regular rich robust rosy round royal safe sage sharp silent silver simple sincere smart smooth snug social solar solid
  sound square stable steady still strong sturdy subtle sunny super sure swift tender tidy touched true trusty upright usable
  vast vital vivid warm whole wild willing wise witty worthy young`);

export const names = words(`
  adder alpaca ant antelope badger barnacle bass bat beagle bear beaver bee beetle bird bison boar bobcat buck buffalo bull
  bunny camel caribou carp cat catfish cheetah chicken chipmunk cobra cod collie colt condor cow coyote crab crane cricket
  crow cub deer dingo dodo doe dog dolphin donkey dove dragon drake duck eagle eel elephant elk emu ermine falcon fawn ferret
  finch firefly fish flamingo flea fly foal fowl fox frog gannet gar gecko gelding gibbon giraffe glider gnu goat goblin
  goldfish goose gopher grouse grub gull guppy haddock hagfish halibut hamster hare hawk hedgehog hen heron herring hornet
  horse hound husky ibex iguana impala jackal jaguar jay jennet kangaroo kid kit kite kitten kiwi koala koi krill lab lacewing
  lamb lark lemming lemur leopard lion lizard llama lobster locust longhorn louse lynx macaw mackerel magpie mako mallard
  mammal manatee mantis mare marlin marmot marten martin mastiff mayfly meerkat mink minnow mite mole mongoose monitor monkey
  moose moray moth mouse mule mullet muskox mustang narwhal newt octopus opossum orca oriole osprey ostrich otter owl ox
  oyster panda pangolin panther parakeet parrot peacock pegasus pelican penguin perch pheasant phoenix pig pigeon pika
  piranha pony poodle porpoise possum prawn puffin pug puma puppy python quagga quail rabbit raccoon ram rat raven ray redfish
  reindeer robin rodent rooster salmon sawfish scorpion seagull seal shad shark sheep shepherd shiner shrew shrimp silkworm
  skink skylark sloth slug snail snake snapper snipe sole sparrow spider sponge squid squirrel stag stallion starfish starling
  stingray stinkbug stork stud sturgeon sunbird swallow swan swift tadpole tahr tapir tarpon tern terrapin tetra thrush tick
  tiger titmouse toad tomcat tortoise toucan treefrog trout tuna turkey turtle unicorn urchin viper vulture wallaby walleye
  walrus warthog wasp weasel weevil werewolf whale whippet wolf wombat woodcock worm wren yak zebra`);

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
