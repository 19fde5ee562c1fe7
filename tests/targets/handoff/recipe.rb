# A stand-in for Chef's language: declares what a recipe declares, one JSON document a resource, and converges nothing.
# It knows the resources and properties that Chef's reference names, and fails on any other. ruby recipe.rb FOLDER
require 'json'

KNOWN = {
  group: %i[system], user: %i[system gid home shell], directory: %i[recursive mode],
  remote_file: %i[source checksum mode], archive_file: %i[destination owner group overwrite not_if],
  execute: %i[command not_if], link: %i[to notifies], systemd_unit: %i[content action]
}.freeze

module Chef
  Config = { file_cache_path: '/cache' }.freeze
end

# The properties of one resource; `system`, which Ruby itself has, becomes one, too.
class Resource
  attr_reader :found

  def initialize(type)
    @found = {}
    KNOWN.fetch(type).each { |name| define_singleton_method(name) { |*values, &block| note(name, values, block) } }
  end

  def note(name, values, block)
    raise "#{name} has neither value nor block" if values.empty? && block.nil?

    if name == :notifies
      (@found[name] ||= []) << values
    else
      @found[name] = block ? true : values.first
    end
  end
end

class Recipe
  def initialize(node)
    @node = node
  end

  attr_reader :node

  KNOWN.each_key do |type|
    define_method(type) do |name, &block|
      resource = Resource.new(type)
      resource.instance_eval(&block)
      puts JSON.generate('type' => type, 'name' => name, 'properties' => resource.found)
    end
  end
end

root = ARGV[0]
node = JSON.parse(File.read("#{root}/node.json"))
recipe = "#{root}/cookbooks/shop/recipes/default.rb"
Recipe.new(node).instance_eval(File.read(recipe), recipe)
